-- Which drills cost much time and bring little?
-- for: analysts
-- why: Authors want to know which drills to rewrite first: long practice, low proficiency.
-- beware: A drill that came into use lately looks bad for that reason alone. Time is what Drillster measured during practice;
--   it does not include reading elsewhere. Who has the drill in two groups counts twice in the averages.
SELECT r.playable_name AS playable, r.playable_type AS type, count(DISTINCT r.account_id) AS learners,
  round(avg(r.time_spent_seconds) / 60) AS minutes_each, round(avg(r.proficiency)) AS proficiency,
  round(sum(r.proficiency) / (sum(r.time_spent_seconds) / 3600.0)) AS points_an_hour
FROM current_results r
WHERE r.last_practiced_at IS NOT NULL
GROUP BY r.playable_id, r.playable_name, r.playable_type
HAVING count(DISTINCT r.account_id) >= 10 AND sum(r.time_spent_seconds) > 0
ORDER BY points_an_hour, playable;
