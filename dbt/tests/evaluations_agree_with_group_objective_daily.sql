{{ config(meta={'dagster': {'ref': {'name': 'fct_objective_evaluations'}}}) }}
-- Fails for a date and objective of which this schema has other evaluations than the warehouse counts.
with evaluations as (
    select
        export_date,
        group_id,
        objective_id,
        count(met) as evaluated,
        sum(case when met then 1 else 0 end) as met,
        sum(case when is_overdue then 1 else 0 end) as overdue
    from {{ ref('fct_objective_evaluations') }}
    group by export_date, group_id, objective_id
)

select evaluations.*
from evaluations
inner join {{ ref('fct_compliance_days') }} as days
    on days.export_date = evaluations.export_date
    and days.group_id = evaluations.group_id
    and days.objective_id = evaluations.objective_id
where
    days.evaluated <> evaluations.evaluated
    or days.met <> evaluations.met
    or days.overdue <> evaluations.overdue
