{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='export_date',
    on_schema_change='sync_all_columns',
    post_hook="{{ delete_what_is_gone('objective_evaluations', ['export_date', 'objective_id', 'account_id']) }}",
) }}
{% set to_load = dates_to_load('objective_evaluations') %}

select
    evaluations.export_date,
    evaluations.objective_id,
    evaluations.account_id,
    evaluations.group_id,
    evaluations.met,
    evaluations.proficiency,
    evaluations.minimum_proficiency,
    evaluations.minimum_proficiency - evaluations.proficiency as points_missing,
    evaluations.evaluated_at,
    evaluations.review_at,
    coalesce(not evaluations.met and evaluations.review_at < dates.begins_at, false) as is_overdue,
    coalesce(
        evaluations.review_at >= dates.begins_at and evaluations.review_at < dates.ends_at + interval '720 hours', false
    ) as is_due_30_days,
    evaluations.load_id
from {{ ref('stg_objective_evaluations') }} as evaluations
inner join {{ ref('dim_export_dates') }} as dates on dates.export_date = evaluations.export_date
{% if is_incremental() %}
where evaluations.export_date in ({{ to_load }})
{% endif %}
