with attempts as (
    select
        *,
        row_number() over person_and_test as attempt_number,
        max(score_percentage) over person_and_test as best_score_percentage,
        max(case when passed then 1 else 0 end) over person_and_test as passed_so_far
    from {{ ref('stg_test_results') }}
    where account_id is not null
    window person_and_test as (partition by test_id, account_id order by started_at, test_result_id)
)

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
    attempt_number,
    best_score_percentage,
    coalesce(passed, false) and attempt_number = 1 as is_passed_at_first,
    coalesce(passed, false) and passed_before = 0 as is_first_pass
from (
    select
        *,
        coalesce(lag(passed_so_far) over (partition by test_id, account_id order by attempt_number), 0) as passed_before
    from attempts
) as ranked
