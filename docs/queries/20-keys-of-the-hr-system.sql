-- Of how many members can the HR system be joined?
-- for: auditors
-- why: Before figures are joined to departments, contracts or absence: whom would such a join lose?
-- beware: One person may have several keys, even of one system: count people, not keys. Accounts of other organizations (`is_managed`
--   false) never have one here.
WITH members AS (
  SELECT m.group_id, m.account_id, a.status, a.is_managed, EXISTS (
    SELECT 1 FROM account_external_ids k WHERE k.account_id = m.account_id AND k.deleted_on IS NULL
  ) AS has_key
  FROM group_members m
  LEFT JOIN accounts a ON a.account_id = m.account_id
  WHERE m.deleted_on IS NULL
)
SELECT g.name AS group_name, count(*) AS members, sum(CASE WHEN m.account_id IS NULL THEN 1 ELSE 0 END) AS invitees,
  sum(CASE WHEN m.status = 'SUSPENDED' THEN 1 ELSE 0 END) AS suspended,
  sum(CASE WHEN NOT m.is_managed THEN 1 ELSE 0 END) AS of_elsewhere, sum(CASE WHEN m.has_key THEN 1 ELSE 0 END) AS with_a_key,
  sum(CASE WHEN m.is_managed AND NOT m.has_key THEN 1 ELSE 0 END) AS ours_without_a_key
FROM members m
JOIN groups g ON g.group_id = m.group_id
WHERE g.deleted_on IS NULL
GROUP BY m.group_id, g.name
ORDER BY ours_without_a_key DESC, group_name;
