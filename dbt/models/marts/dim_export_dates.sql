with dates as (
    select
        export_date,
        coalesce(max(date_begins_at), cast(export_date as timestamp) at time zone 'UTC') as begins_at,
        coalesce(max(date_ends_at), (cast(export_date as timestamp) + interval '1 day') at time zone 'UTC') as ends_at,
        bool_or(coalesce(is_complete, is_whole, true)) as is_complete
    from {{ ref('stg_loads') }}
    where kind = 'snapshot'
    group by export_date
)

select
    export_date,
    begins_at,
    ends_at,
    is_complete,
    export_date = max(export_date) over () as is_newest,
    export_date = max(export_date) over (partition by date_trunc('month', export_date)) as is_month_end,
    cast(date_trunc('month', export_date) as date) as month_begins_on,
    cast(date_trunc('week', export_date) as date) as week_begins_on,
    lag(export_date) over (order by export_date) as previous_export_date,
    export_date - lag(export_date) over (order by export_date) - 1 as missed_days
from dates
