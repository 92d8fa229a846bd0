-- Who fell below the norm this month?
-- for: managers
-- why: They met the objective on the last date before this month and do not meet it now. A reminder to practice reaches
--   them while little is lost.
-- beware: People who joined the group this month are not among them, and neither is who fell and recovered in between
--   (question 12 counts those). A norm that was raised looks the same as knowledge that faded: compare both norms.
WITH dates AS (
  SELECT export_date AS newest, previous_month_end AS month_before FROM export_dates WHERE is_newest
)
SELECT g.name AS group_name, o.name AS objective, a.name AS person,
  earlier.proficiency AS was, today.proficiency AS is_now,
  earlier.minimum_proficiency AS norm_was, today.minimum_proficiency AS norm
FROM objective_evaluations today
JOIN objective_evaluations earlier ON earlier.objective_id = today.objective_id AND earlier.account_id = today.account_id
JOIN groups g ON g.group_id = today.group_id
JOIN objectives o ON o.objective_id = today.objective_id
JOIN accounts a ON a.account_id = today.account_id
WHERE today.export_date = (SELECT newest FROM dates)
  AND earlier.export_date = (SELECT month_before FROM dates)
  AND earlier.met AND NOT today.met
ORDER BY today.proficiency - today.minimum_proficiency, person, objective;
