select
    test_result_id,
    test_id,
    group_id,
    account_id,
    started_at,
    completed_at,
    duration_minutes,
    score_percentage,
    passed,
    row_number() over (
        partition by test_id, account_id order by started_at nulls last, test_result_id
    ) as attempt_number,
    coalesce(passed, false) and row_number() over (
        partition by test_id, account_id, passed order by started_at nulls last, test_result_id
    ) = 1 as is_first_pass,
    max(score_percentage) over (partition by test_id, account_id) as best_score_percentage
from {{ ref('stg_test_results') }}
where account_id is not null
