-- Is every date of each month there, and was anything left out?
-- for: auditors
-- why: A trend over dates means little if a week is missing. Every load leaves a row in `loads`, in the same transaction as its data.
-- beware: Missing days are counted between the first and the last date of the month that are in the warehouse. A date that was loaded twice counts
--   once; its rejected rows are those of all its loads. `incomplete` counts the tables of which a snapshot could not read everything that is open to the service account
--   (`load_tables.is_fully_loaded`; `is_complete` where an older version loaded it). The view `table_freshness` has the newest complete date.
SELECT l.kind, substr(cast(l.export_date AS char(30)), 1, 7) AS month, count(DISTINCT l.export_date) AS dates,
  cast(substr(cast(max(l.export_date) AS char(30)), 9, 2) AS integer)
    - cast(substr(cast(min(l.export_date) AS char(30)), 9, 2) AS integer) + 1
    - count(DISTINCT l.export_date) AS missing_days,
  sum(t.rows_read) AS rows_read, sum(t.rows_rejected) AS rows_rejected,
  sum(CASE WHEN l.kind = 'snapshot' AND NOT coalesce(t.is_fully_loaded, t.is_complete) THEN 1 ELSE 0 END) AS incomplete
FROM loads l
JOIN load_tables t ON t.load_id = l.load_id
GROUP BY l.kind, substr(cast(l.export_date AS char(30)), 1, 7)
ORDER BY l.kind, month;
