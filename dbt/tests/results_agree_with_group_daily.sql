{{ config(meta={'dagster': {'ref': {'name': 'fct_results'}}}) }}
-- Fails for a date and group of which this schema has other results than the warehouse counts.
with results as (
    select
        export_date,
        group_id,
        count(proficiency) as result_count,
        count(distinct account_id) as learner_count,
        count(distinct case when is_practiced_7_days then account_id end) as learners_practicing_7_days
    from {{ ref('fct_results') }}
    group by export_date, group_id
)

select results.*
from results
inner join {{ ref('fct_group_days') }} as days
    on days.export_date = results.export_date and days.group_id = results.group_id
where
    days.result_count <> results.result_count
    or days.learner_count <> results.learner_count
    or days.learners_practicing_7_days <> results.learners_practicing_7_days
