{% macro practice_shares() %}
    {#- Shares of the figures that both daily tables have; to sum over rows, sum the counts and divide then. -#}
    100.0 * learners_practicing_7_days / nullif(learner_count, 0) as practicing_percentage,
    100.0 * learners_idle_30_days / nullif(learner_count, 0) as idle_percentage,
    100.0 * tests_passed / nullif(tests_completed, 0) as passed_percentage
{%- endmacro %}
