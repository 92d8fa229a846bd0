-- Which groups got better this month, and which worse?
-- for: managers
-- why: One line per team for a monthly meeting: the share of evaluations that were met on the last date before this month, and now.
-- beware: A group that did not exist then, or has no objective now, is not in the list. In a small group one person is many
--   points; look at the counts before drawing conclusions. Joining and leaving moves the share as well as learning does.
WITH dates AS (
  SELECT export_date AS newest, previous_month_end AS month_before FROM export_dates WHERE is_newest
), shares AS (
  SELECT export_date, group_id, sum(met) AS met, sum(evaluated) AS evaluated,
    100.0 * sum(met) / sum(evaluated) AS percentage
  FROM group_compliance
  WHERE export_date IN (SELECT newest FROM dates UNION SELECT month_before FROM dates) AND evaluated > 0
  GROUP BY export_date, group_id
)
SELECT g.name AS group_name, earlier.met AS met_then, earlier.evaluated AS of_then,
  today.met AS met_now, today.evaluated AS of_now,
  round(today.percentage - earlier.percentage) AS change_in_points
FROM shares today
JOIN shares earlier ON earlier.group_id = today.group_id
JOIN groups g ON g.group_id = today.group_id
WHERE today.export_date = (SELECT newest FROM dates) AND earlier.export_date = (SELECT month_before FROM dates)
ORDER BY today.percentage - earlier.percentage DESC, group_name;
