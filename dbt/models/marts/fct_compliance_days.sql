select
    export_date,
    group_id,
    objective_id,
    evaluated,
    met,
    overdue,
    minimum_proficiency,
    100.0 * met / nullif(evaluated, 0) as met_percentage,
    100.0 * overdue / nullif(evaluated, 0) as overdue_percentage
from {{ ref('stg_group_objective_daily') }}
