-- How many pass a test at the first attempt, and how many in the end?
-- for: analysts
-- why: A test that most people pass only at the second attempt is too hard, badly prepared for, or is about something else than the drills.
-- beware: Attempts without a verdict (given up, or scored by nobody) count as not passed. Who repeats a test a year later is taken
--   together with the first time. Small groups: look at the number of people.
WITH attempts AS (
  SELECT test_id, group_id, account_id, passed,
    row_number() OVER (PARTITION BY test_id, group_id, account_id ORDER BY started_at, test_result_id) AS attempt
  FROM test_results
  WHERE account_id IS NOT NULL
), people AS (
  SELECT test_id, group_id, account_id, count(*) AS attempts,
    max(CASE WHEN attempt = 1 AND passed THEN 1 ELSE 0 END) AS at_first,
    max(CASE WHEN passed THEN 1 ELSE 0 END) AS in_the_end
  FROM attempts
  GROUP BY test_id, group_id, account_id
)
SELECT p.name AS test, g.name AS group_name, count(*) AS people,
  round(100.0 * sum(people.at_first) / count(*)) AS passed_at_first_percentage,
  round(100.0 * sum(people.in_the_end) / count(*)) AS passed_in_the_end_percentage,
  round(10.0 * sum(people.attempts) / count(*)) / 10 AS attempts_each
FROM people
JOIN playables p ON p.playable_id = people.test_id
JOIN groups g ON g.group_id = people.group_id
GROUP BY people.test_id, people.group_id, p.name, g.name
ORDER BY passed_at_first_percentage, test, group_name;
