-- Which objectives are lost most often, and are they regained?
-- for: analysts
-- why: An objective that is lost and regained again and again has a norm that its interval can hardly maintain.
-- beware: The evaluation of each export date is compared with the one before: who falls and recovers within a day is not found
--   (`objective_events` has every change with its time). Only types whose state can be lost are listed. A gain of those who lost it may come before the loss.
WITH evaluations AS (
  SELECT objective_id, account_id, met,
    lag(met) OVER (PARTITION BY objective_id, account_id ORDER BY export_date) AS met_before
  FROM objective_evaluations
), changes AS (
  SELECT objective_id, account_id,
    sum(CASE WHEN met_before AND NOT met THEN 1 ELSE 0 END) AS lost,
    sum(CASE WHEN met AND NOT met_before THEN 1 ELSE 0 END) AS gained
  FROM evaluations
  GROUP BY objective_id, account_id
)
SELECT g.name AS group_name, o.name AS objective, o.minimum_proficiency AS norm, count(*) AS members,
  sum(c.lost) AS times_lost, sum(CASE WHEN c.lost > 0 THEN 1 ELSE 0 END) AS by_members,
  sum(CASE WHEN c.lost > 0 THEN c.gained ELSE 0 END) AS times_gained_by_them
FROM changes c
JOIN objectives o ON o.objective_id = c.objective_id
JOIN groups g ON g.group_id = o.group_id
WHERE o.type IN ('PERMANENT', 'RECURRING') AND o.deleted_on IS NULL
GROUP BY c.objective_id, g.name, o.name, o.minimum_proficiency
HAVING sum(c.lost) > 0
ORDER BY times_lost DESC, group_name, objective;
