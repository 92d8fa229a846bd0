-- How far are the people who joined a group this month?
-- for: managers
-- why: Have newcomers started, or does nobody know that they should?
-- beware: `joined_at` is when they joined the group, not when they were employed; who moved from another group brings along what
--   was practiced there. An invitee without an account has no row in `results`, and is listed here without figures.
WITH dates AS (
  SELECT export_date AS newest, month_begins_on FROM export_dates WHERE is_newest
)
SELECT g.name AS group_name, coalesce(a.name, m.name) AS person,
  substr(cast(m.joined_at AS char(30)), 1, 10) AS joined_on, count(r.playable_id) AS drills,
  sum(CASE WHEN r.last_practiced_at IS NOT NULL THEN 1 ELSE 0 END) AS practiced,
  round(sum(r.time_spent_seconds) / 60.0) AS minutes, round(avg(r.proficiency)) AS proficiency
FROM group_members m
JOIN groups g ON g.group_id = m.group_id
LEFT JOIN accounts a ON a.account_id = m.account_id
LEFT JOIN results r
  ON r.group_id = m.group_id AND r.account_id = m.account_id AND r.export_date = (SELECT newest FROM dates)
WHERE m.deleted_on IS NULL
  AND m.joined_at >= (SELECT month_begins_on FROM dates)
GROUP BY m.group_id, g.name, m.member_key, coalesce(a.name, m.name), m.joined_at
ORDER BY joined_on, person, group_name;
