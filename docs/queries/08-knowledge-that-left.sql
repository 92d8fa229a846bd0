-- Who left a group this month, and what did they know?
-- for: managers
-- why: When three people of a team leave, what they knew leaves with them. Snapshots keep the last day on which they were members.
-- beware: `deleted_on` is the first export date without them; they may have left the group on the day before, and be in another
--   group still. The members of a group that was removed are listed although nobody left.
SELECT g.name AS group_name, a.name AS person, m.last_seen_on,
  count(*) AS drills, round(avg(r.proficiency)) AS proficiency,
  sum(CASE WHEN r.proficiency >= 80 THEN 1 ELSE 0 END) AS known_at_80
FROM group_members m
JOIN groups g ON g.group_id = m.group_id
JOIN accounts a ON a.account_id = m.account_id
JOIN results r ON r.group_id = m.group_id AND r.account_id = m.account_id AND r.export_date = m.last_seen_on
WHERE m.deleted_on >= (SELECT month_begins_on FROM export_dates WHERE is_newest)
GROUP BY m.group_id, g.name, m.account_id, a.name, m.last_seen_on
ORDER BY m.last_seen_on, person, group_name;
