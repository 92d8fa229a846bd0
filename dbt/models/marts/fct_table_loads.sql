select
    load_tables.load_id,
    load_tables.table_name,
    loads.kind,
    loads.export_date,
    loads.finished_at,
    load_tables.rows_read,
    load_tables.rows_rejected,
    load_tables.rows_inserted,
    load_tables.rows_updated,
    load_tables.rows_deleted,
    coalesce(load_tables.is_fully_loaded, load_tables.is_complete) as is_fully_loaded,
    loads.requests_refused,
    row_number() over (
        partition by load_tables.table_name order by loads.export_date desc, loads.finished_at desc, loads.load_id
    ) = 1 as is_newest
from {{ ref('stg_load_tables') }} as load_tables
inner join {{ ref('stg_loads') }} as loads on loads.load_id = load_tables.load_id
