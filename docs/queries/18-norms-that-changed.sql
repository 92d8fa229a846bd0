-- By which norm was each objective evaluated, and since when?
-- for: auditors
-- why: A norm that was lowered just before an audit should be seen, and so should one that was raised and made people fall.
-- beware: The first and last date are those of this warehouse; before its first date the norm is unknown. Where one member has another
--   norm than the others there is a row for each. Tests have no norm here.
WITH norms AS (
  SELECT objective_id, minimum_proficiency AS norm, min(export_date) AS first_date, max(export_date) AS last_date,
    count(DISTINCT export_date) AS dates, count(DISTINCT account_id) AS members
  FROM objective_evaluations
  WHERE minimum_proficiency IS NOT NULL
  GROUP BY objective_id, minimum_proficiency
)
SELECT g.name AS group_name, o.name AS objective, norms.norm,
  norms.first_date, norms.last_date, norms.dates, norms.members
FROM norms
JOIN objectives o ON o.objective_id = norms.objective_id
JOIN groups g ON g.group_id = o.group_id
WHERE norms.objective_id IN (SELECT objective_id FROM norms GROUP BY objective_id HAVING count(*) > 1)
ORDER BY group_name, objective, norms.first_date;
