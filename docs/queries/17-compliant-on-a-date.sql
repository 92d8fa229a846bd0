-- Who met this objective on 15 May, by the norm of that day?
-- for: auditors
-- why: The question that an inspection asks. Snapshots keep the evaluation and the norm as they stood; put your date and objective.
-- beware: This is a list, not a proof: `drillster-pipeline evidence` writes the same with its provenance, and verifies it. Names of people
--   and objectives are those of now. "not evaluated" means that Drillster gave no verdict; a member who is missing was not evaluated at all.
SELECT a.name AS person, CASE WHEN e.met THEN 'yes' WHEN NOT e.met THEN 'no' ELSE 'not evaluated' END AS met,
  e.proficiency, e.minimum_proficiency AS norm_that_day, substr(cast(e.review_at AS char(30)), 1, 10) AS review_on,
  substr(cast(e.captured_at AS char(30)), 1, 10) AS told_on
FROM objective_evaluations e
JOIN objectives o ON o.objective_id = e.objective_id
JOIN accounts a ON a.account_id = e.account_id
WHERE e.export_date = '2026-05-15' AND o.name = 'Permanent: Pressure ulcers'
ORDER BY met, e.proficiency DESC, person;
