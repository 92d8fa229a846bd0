select
    objective_id,
    group_id,
    name,
    type,
    review_at,
    minimum_proficiency,
    falling_minimum_proficiency,
    estimated_study_seconds,
    deleted_on is null as is_current,
    first_seen_on,
    last_seen_on,
    deleted_on
from {{ ref('stg_objectives') }}
