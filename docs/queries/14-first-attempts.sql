-- How many pass a test at the first attempt, and how many in the end?
-- for: analysts
-- why: A test that most people pass only at the second attempt is too hard, badly prepared for, or is about something else than the drills.
-- beware: Attempts without a verdict (given up, or scored by nobody) count as not passed. Who repeats a test a year later is taken
--   together with the first time; whose first attempt was in another group counts as not passed at first. Small groups: look at the number of people.
SELECT test_name AS test, group_name, count(DISTINCT account_id) AS people,
  round(100.0 * sum(CASE WHEN attempt_number = 1 AND passed THEN 1 ELSE 0 END) / count(DISTINCT account_id))
    AS passed_at_first_percentage,
  round(100.0 * count(DISTINCT CASE WHEN passed THEN account_id END) / count(DISTINCT account_id)) AS passed_in_the_end_percentage,
  round(10.0 * count(*) / count(DISTINCT account_id)) / 10 AS attempts_each
FROM test_attempts
GROUP BY test_id, group_id, test_name, group_name
ORDER BY passed_at_first_percentage, test, group_name;
