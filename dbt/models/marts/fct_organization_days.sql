select
    export_date,
    member_count,
    learner_count,
    learners_practiced,
    learners_practicing_7_days,
    learners_idle_30_days,
    learners_never_practiced,
    result_count,
    average_proficiency,
    proficiency_deviation,
    tests_completed,
    tests_passed,
    average_proficiency - lag(average_proficiency) over (
        order by export_date
    ) as proficiency_change,
    {{ practice_shares() }}
from {{ ref('stg_organization_daily') }}
