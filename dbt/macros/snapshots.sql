{% macro dates_to_load(table) %}
  {#- The dates whose newest load of a table is not what this model has: new ones, and those that were loaded again. -#}
    select newest.export_date
    from (
        select
            loads.export_date,
            loads.load_id,
            row_number() over (partition by loads.export_date order by loads.finished_at desc, loads.load_id) as place
        from {{ ref('stg_loads') }} as loads
        inner join {{ ref('stg_load_tables') }} as load_tables on load_tables.load_id = loads.load_id
        where loads.kind = 'snapshot' and load_tables.table_name = '{{ table }}'
    ) as newest
    left join (select distinct export_date, load_id from {{ this }}) as present
        on present.export_date = newest.export_date and present.load_id = newest.load_id
    where newest.place = 1 and present.load_id is null
{%- endmacro %}

{% macro delete_what_is_gone(table, key) %}
  {#- Rows that the warehouse has no more, of dates that were not loaded again: after `forget` and `prune`. -#}
    delete from {{ this }} as present
    where not exists (
        select 1 from {{ ref('stg_' ~ table) }} as source
        where {% for name in key %}source.{{ name }} = present.{{ name }}{{ ' and ' if not loop.last }}{% endfor %}
    )
{%- endmacro %}
