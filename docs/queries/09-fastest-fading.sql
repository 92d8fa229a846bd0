-- Which drills fade fastest?
-- for: analysts
-- why: What fades fast needs shorter intervals, better questions, or a place in the work itself. Only export dates between which somebody
--   did not practice are compared, so that practice does not hide the loss.
-- beware: Fading depends on how well and how often something was practiced, so a new drill fades faster than an old one whatever it
--   is about. Proficiency is a whole number: the loss from one date to the next is mostly 0 or 1, and only many together say something.
--   Two dates with a missed one in between count as one step.
WITH known AS (
  SELECT export_date, account_id, playable_id,
    min(proficiency) AS proficiency, max(last_practiced_at) AS last_practiced_at
  FROM results
  WHERE proficiency > 0
  GROUP BY export_date, account_id, playable_id
), pairs AS (
  SELECT account_id, playable_id, proficiency, last_practiced_at,
    lag(proficiency) OVER one_drill AS proficiency_before, lag(last_practiced_at) OVER one_drill AS practiced_before
  FROM known
  WINDOW one_drill AS (PARTITION BY account_id, playable_id ORDER BY export_date)
)
SELECT p.name AS playable, p.type,
  count(DISTINCT pairs.account_id) AS learners, count(*) AS dates_without_practice,
  round(avg(pairs.proficiency)) AS proficiency,
  round(300.0 * sum(pairs.proficiency_before - pairs.proficiency) / count(*)) / 10 AS points_lost_in_30_days
FROM pairs
JOIN playables p ON p.playable_id = pairs.playable_id
WHERE pairs.last_practiced_at = pairs.practiced_before
GROUP BY pairs.playable_id, p.name, p.type
HAVING count(DISTINCT pairs.account_id) >= 5
ORDER BY points_lost_in_30_days DESC, playable;
