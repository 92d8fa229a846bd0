-- Which reviews come next, and how many would not pass today?
-- for: managers
-- why: There is still time before a review date; this says where it is needed.
-- beware: Without further practice proficiency fades further, so by the date more will fail than the last column says. Of a
--   recurring objective `met` says how the last review ended; what counts for the next one is whether proficiency reaches the
--   norm, which is compared here. Tests have no proficiency: there, who has not passed counts as not ready. What comes next is what is
--   due after the export date has ended in its time zone; `review_on` is the date in UTC.
SELECT substr(cast(e.review_at AS char(30)), 1, 10) AS review_on, g.name AS group_name, o.name AS objective,
  count(*) AS members,
  sum(CASE
    WHEN e.proficiency < e.minimum_proficiency THEN 1
    WHEN e.proficiency IS NULL AND NOT e.met THEN 1
    ELSE 0
  END) AS not_ready
FROM objective_evaluations e
JOIN groups g ON g.group_id = e.group_id
JOIN objectives o ON o.objective_id = e.objective_id
WHERE e.export_date = (SELECT export_date FROM export_dates WHERE is_newest)
  AND e.review_at >= (SELECT ends_at FROM export_dates WHERE is_newest)
GROUP BY substr(cast(e.review_at AS char(30)), 1, 10), e.group_id, g.name, e.objective_id, o.name
ORDER BY review_on, not_ready DESC, group_name, objective;
