-- Does practice time predict test scores?
-- for: analysts
-- why: The attempts of all dates in the warehouse, in three equal parts by the minutes that the person had practiced in that group
--   on the last date that had ended before the test. If practice pays, scores rise from one part to the next.
-- beware: It shows what goes together, not what causes what: the able may need less practice, and who failed may practice more for the
--   next attempt. Tests differ in difficulty; with enough attempts, split by `test_id` as well. Attempts from before the first export
--   date are left out, because what had been practiced by then is unknown.
WITH attempts AS (
  SELECT t.test_result_id, t.score_percentage, t.passed, t.group_id, t.account_id, max(d.export_date) AS day_before
  FROM test_results t
  JOIN export_dates d ON d.ends_at <= t.completed_at
  WHERE t.score_percentage IS NOT NULL
  GROUP BY t.test_result_id, t.score_percentage, t.passed, t.group_id, t.account_id
), practiced AS (
  SELECT a.test_result_id, a.score_percentage, a.passed, sum(r.time_spent_seconds) / 60.0 AS minutes
  FROM attempts a
  JOIN results r ON r.group_id = a.group_id AND r.account_id = a.account_id AND r.export_date = a.day_before
  GROUP BY a.test_result_id, a.score_percentage, a.passed
), thirds AS (
  SELECT practiced.*, ntile(3) OVER (ORDER BY minutes, test_result_id) AS third FROM practiced
)
SELECT third, count(*) AS attempts, round(min(minutes)) AS from_minutes, round(max(minutes)) AS to_minutes,
  round(avg(score_percentage)) AS average_score, sum(CASE WHEN passed THEN 1 ELSE 0 END) AS passed
FROM thirds
GROUP BY third
ORDER BY third;
