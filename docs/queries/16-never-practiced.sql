-- Which drills of a group do many of its members never practice?
-- for: analysts
-- why: Content that is not used costs its authors and hides what matters.
-- beware: A drill that was added yesterday is in the list too: `group_playables.first_seen_on` is the first export date that has it.
--   Members without an account can't practice and are not counted.
SELECT r.group_name, r.playable_name AS playable, count(*) AS learners,
  sum(CASE WHEN r.last_practiced_at IS NULL THEN 1 ELSE 0 END) AS never_practiced, gp.first_seen_on
FROM current_results r
JOIN group_playables gp ON gp.group_id = r.group_id AND gp.playable_id = r.playable_id
WHERE gp.deleted_on IS NULL
GROUP BY r.group_id, r.group_name, r.playable_id, r.playable_name, gp.first_seen_on
HAVING count(*) >= 5 AND 6 * sum(CASE WHEN r.last_practiced_at IS NULL THEN 1 ELSE 0 END) >= count(*)
ORDER BY never_practiced DESC, r.group_name, playable;
