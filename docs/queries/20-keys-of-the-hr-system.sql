-- Of how many members can the HR system be joined?
-- for: auditors
-- why: Before figures are joined to departments, contracts or absence: whom would such a join lose?
-- beware: One person may have several keys, even of one system: count people, not keys. Accounts of other organizations (`is_managed`
--   false) never have one here.
WITH keyed AS (
  SELECT account_id, count(*) AS external_ids FROM account_external_ids WHERE deleted_on IS NULL GROUP BY account_id
)
SELECT g.name AS group_name, count(*) AS members, sum(CASE WHEN m.account_id IS NULL THEN 1 ELSE 0 END) AS invitees,
  sum(CASE WHEN a.status = 'SUSPENDED' THEN 1 ELSE 0 END) AS suspended,
  sum(CASE WHEN NOT a.is_managed THEN 1 ELSE 0 END) AS of_elsewhere, count(keyed.account_id) AS with_a_key,
  sum(CASE WHEN a.is_managed AND keyed.account_id IS NULL THEN 1 ELSE 0 END) AS ours_without_a_key
FROM group_members m
JOIN groups g ON g.group_id = m.group_id
LEFT JOIN accounts a ON a.account_id = m.account_id
LEFT JOIN keyed ON keyed.account_id = m.account_id
WHERE m.deleted_on IS NULL AND g.deleted_on IS NULL
GROUP BY m.group_id, g.name
ORDER BY ours_without_a_key DESC, group_name;
