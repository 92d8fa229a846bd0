-- Who is overdue, with how many objectives, and for how long?
-- for: managers
-- why: The list to act on first. The view `overdue_objectives` has a row per objective; this has one per person and group.
-- beware: It says "not met", not "did nothing": compare `learner_progress.last_practiced_at`. Drillster evaluates some objectives
--   only at their review date, so practice after it may not show here yet. Suspended people are in it; leave them out by `a.status`.
SELECT o.group_name, o.account_name AS person, a.status, count(*) AS objectives, max(o.days_overdue) AS longest_in_days,
  sum(CASE WHEN o.minimum_proficiency - o.proficiency <= 10 THEN 1 ELSE 0 END) AS within_ten_points
FROM overdue_objectives o
JOIN accounts a ON a.account_id = o.account_id
GROUP BY o.group_id, o.group_name, o.account_id, o.account_name, a.status
ORDER BY objectives DESC, longest_in_days DESC, person;
