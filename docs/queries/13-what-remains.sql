-- What would remain if practice stopped today?
-- for: analysts
-- why: Drillster estimates for each result what stays for good. The difference from today's proficiency is what further practice keeps.
-- beware: It is Drillster's estimate and not a measurement. Averages are over results (a person with eight drills counts eight times),
--   and who never practiced is left out: question 16 has those.
SELECT group_name, count(DISTINCT account_id) AS learners, round(avg(highest_proficiency)) AS highest_ever,
  round(avg(proficiency)) AS today, round(avg(eventual_proficiency)) AS would_remain,
  round(100.0 * sum(CASE WHEN eventual_proficiency >= 50 THEN 1 ELSE 0 END) / count(*)) AS share_that_remains_above_50
FROM current_results
WHERE last_practiced_at IS NOT NULL
GROUP BY group_id, group_name
ORDER BY would_remain, group_name;
