{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='export_date',
    on_schema_change='sync_all_columns',
    post_hook="{{ delete_what_is_gone('results', ['export_date', 'group_id', 'account_id', 'playable_id']) }}",
) }}
{% set to_load = dates_to_load('results') %}

select
    results.export_date,
    results.group_id,
    results.account_id,
    results.playable_id,
    results.proficiency,
    results.receptive_proficiency,
    results.productive_proficiency,
    results.highest_proficiency,
    results.eventual_proficiency,
    results.time_spent_seconds,
    results.last_practiced_at,
    coalesce(results.last_practiced_at >= dates.ends_at - interval '168 hours', false) as is_practiced_7_days,
    coalesce(results.last_practiced_at < dates.ends_at - interval '720 hours', true) as is_idle_30_days,
    results.load_id
from {{ ref('stg_results') }} as results
inner join {{ ref('dim_export_dates') }} as dates on dates.export_date = results.export_date
{% if is_incremental() %}
where results.export_date in ({{ to_load }})
{% endif %}
