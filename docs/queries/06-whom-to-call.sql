-- In which groups is less than two thirds met, and who manages them?
-- for: managers
-- why: From a figure to a person who can do something about it.
-- beware: `group_staff` has who has rights on a group in Drillster, which need not be the team's manager in daily life.
--   With `DRILLSTER_PERSONAL_DATA` on `pseudonymize` or `drop` there is no name here.
WITH shares AS (
  SELECT group_id, group_name, sum(met) AS met, sum(evaluated) AS evaluated
  FROM group_compliance
  WHERE export_date = (SELECT export_date FROM export_dates WHERE is_newest)
  GROUP BY group_id, group_name
)
SELECT s.group_name, round(100.0 * s.met / s.evaluated) AS met_percentage, a.name AS manager
FROM shares s
LEFT JOIN group_staff f ON f.group_id = s.group_id AND f.permission = 'MANAGE' AND f.deleted_on IS NULL
LEFT JOIN accounts a ON a.account_id = f.account_id
WHERE 3 * s.met < 2 * s.evaluated
ORDER BY met_percentage, group_name, manager;
