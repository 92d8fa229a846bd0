-- Who practiced before, and not at all this month?
-- for: managers
-- why: Knowledge fades without practice. The reason is best asked for in person: leave, another task, or no time on the shift.
-- beware: A person who knows everything well needs little practice, and Drillster then requests none: compare the
--   proficiency in the last column. In the first days of a month nearly everybody is listed. Months are those of UTC. Who never practiced has no date and is not in this list.
SELECT p.group_name, p.account_name AS person, a.status,
  substr(cast(p.last_practiced_at AS char(30)), 1, 10) AS last_practiced_on,
  round(cast(p.minutes_practiced AS decimal(12, 4))) AS minutes_in_all,
  round(cast(p.average_proficiency AS decimal(12, 4))) AS proficiency
FROM learner_progress p
JOIN accounts a ON a.account_id = p.account_id
WHERE p.last_practiced_at < (SELECT month_begins_on FROM export_dates WHERE is_newest)
ORDER BY last_practiced_on, person;
