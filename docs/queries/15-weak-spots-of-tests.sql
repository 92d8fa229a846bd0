-- On which drills do people lose most in tests?
-- for: analysts
-- why: A test draws its questions from drills. Where its scores are low although the drill is practiced, practice and test are about
--   different things.
-- beware: The scores are of all attempts ever, proficiency is of today and of all members. NULL: nobody practices it in a group now. A test may
--   ask only a few questions of a drill, so a single attempt says little.
WITH practiced AS (
  SELECT playable_id, round(avg(proficiency)) AS proficiency
  FROM current_results
  WHERE last_practiced_at IS NOT NULL
  GROUP BY playable_id
)
SELECT p.name AS drill, count(*) AS attempts, round(avg(d.score_percentage)) AS average_score,
  round(100.0 * sum(CASE WHEN d.score_percentage < 50 THEN 1 ELSE 0 END) / count(*)) AS below_50_percentage,
  practiced.proficiency AS proficiency_now
FROM test_result_drills d
JOIN playables p ON p.playable_id = d.drill_id
LEFT JOIN practiced ON practiced.playable_id = d.drill_id
GROUP BY d.drill_id, p.name, practiced.proficiency
HAVING count(*) >= 10
ORDER BY average_score, drill;
