-- Is every date of each month there, and was anything left out?
-- for: auditors
-- why: A trend over dates means little if a week is missing. Every load leaves a row in `loads`, in the same transaction as its data.
-- beware: `missed_days` are those before a published date since the one before it; days after the newest date are not counted. `with_events`
--   are dates of which events were loaded too. A date that was loaded twice counts once; its rejected rows are those of all its loads. `incomplete` counts the tables of which a snapshot could not read everything that is open to the service account
--   (`load_tables.is_fully_loaded`; `is_complete` where an older version loaded it). The view `table_freshness` has the newest complete date.
WITH loaded AS (
  SELECT l.export_date, max(CASE WHEN l.kind = 'events' THEN 1 ELSE 0 END) AS with_events,
    sum(t.rows_read) AS rows_read, sum(t.rows_rejected) AS rows_rejected,
    sum(CASE WHEN l.kind = 'snapshot' AND NOT coalesce(t.is_fully_loaded, t.is_complete) THEN 1 ELSE 0 END) AS incomplete
  FROM loads l
  JOIN load_tables t ON t.load_id = l.load_id
  GROUP BY l.export_date
)
SELECT d.month, count(*) AS dates, coalesce(sum(d.missed_days), 0) AS missed_days, sum(loaded.with_events) AS with_events,
  sum(loaded.rows_read) AS rows_read, sum(loaded.rows_rejected) AS rows_rejected, sum(loaded.incomplete) AS incomplete
FROM export_dates d
JOIN loaded ON loaded.export_date = d.export_date
GROUP BY d.month
ORDER BY d.month;
