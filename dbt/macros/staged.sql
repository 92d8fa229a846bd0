{% macro staged(table) %}
  {#- A table of the warehouse with its declared types: in SQLite's files timestamps are text, and flags 0 and 1. -#}
  {%- set relation = source('drillster', table) -%}
  {%- if execute %}
    {%- set declared = graph.sources.values() | selectattr('source_name', 'equalto', 'drillster') | selectattr('name', 'equalto', table) | first %}
select
    {%- for column in declared.columns.values() %}
    cast({{ column.name }} as {{ column.data_type }}) as {{ column.name }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ relation }}
  {%- endif %}
{% endmacro %}
