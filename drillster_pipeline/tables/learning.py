"""Objectives and how far members are with them, practice results, and tests."""

from __future__ import annotations

from .schema import (
    CAPTURED_AT,
    EXPORT_DATE,
    Column,
    Form,
    Type,
    boolean,
    entity,
    event,
    integer,
    key,
    percentage,
    reference,
    snapshot,
    text,
    timestamp,
)

_ATTEMPT = "memberTestResults[].testResults[]"

OBJECTIVES = entity(
    "objectives",
    "What the members of a group are to reach, and by when.",
    key("objective_id", "Drillster's id of the objective.", "id"),
    reference("group_id", "The group that has the objective.", "{group_id}", references="groups.group_id"),
    text("name", "Name; Drillster makes a standard one.", "name", prose=True),
    text(
        "type",
        "Reviewed once, all the time, in a cycle, or by a test.",
        "type",
        form=Form.CODE,
        values=("ONEOFF", "PERMANENT", "RECURRING", "TEST"),
    ),
    timestamp("review_at", "When it is reviewed; NULL where each member has an own date.", "reviewDate"),
    percentage(
        "minimum_proficiency", "The proficiency to reach; NULL for an objective of type TEST.", "minimumProficiency"
    ),
    percentage(
        "falling_minimum_proficiency",
        "Once met, the proficiency may fall to this; the minimum where Drillster leaves it out.",
        "fallingMinimumProficiency | minimumProficiency",
    ),
    integer(
        "estimated_study_seconds", "Expected time to study, in seconds.", "estimatedStudyDuration", form=Form.DURATION
    ),
)

OBJECTIVE_PLAYABLES = entity(
    "objective_playables",
    "The drills, courses or test that an objective is about.",
    key("objective_id", "The objective.", "objectives: objectives[].id", references="objectives.objective_id"),
    key("playable_id", "The drill, course or test.", "id", references="playables.playable_id"),
    sources=("objectives",),
    inside="playables[]",
)

OBJECTIVE_EVALUATIONS = snapshot(
    "objective_evaluations",
    "How far each member was with each objective on a day, and the norm as it stood that day.",
    EXPORT_DATE,
    key("objective_id", "The objective.", "{objective_id}", references="objectives.objective_id"),
    key("account_id", "The member.", "user.id", references="accounts.account_id"),
    reference("group_id", "The group that has the objective.", "{group_id}", references="groups.group_id"),
    boolean("met", "Whether the objective was met.", "met"),
    percentage("proficiency", "Proficiency over the objective's content.", "proficiency/overall"),
    timestamp("evaluated_at", "When Drillster evaluated it.", "evaluationDate"),
    timestamp(
        "review_at",
        "Review date that held for this member that day: the member's own, else the objective's.",
        "reviewDate | objective.reviewDate | {review_at}",
    ),
    percentage(
        "minimum_proficiency",
        "The norm as it stood that day.",
        "minimumProficiency | objective.minimumProficiency | {minimum_proficiency}",
    ),
    CAPTURED_AT,
    secondary_sources=("objectives",),
)

OBJECTIVE_EVENTS = event(
    "objective_events",
    "When a member came to meet an objective, or no longer met it.",
    key(
        "event_id",
        "Drillster's id of the event where it gives one; else the first 32 hex digits of SHA-256 of "
        "'objective_id|account_id|event_type|occurred_at'.",
        "eventId",
    ),
    # Not a foreign key, nor is the group: events may be all that is loaded of a date.
    reference("objective_id", "The objective.", "{objective_id}", joins="objectives.objective_id"),
    reference("account_id", "The member.", "user.id | evaluation.user.id", references="accounts.account_id"),
    text("group_id", "The group that has the objective.", "{group_id}", joins="groups.group_id"),
    text(
        "event_type",
        "What happened.",
        "eventType | type",
        form=Form.CODE,
        values=("OBJECTIVE_BECAME_OK", "OBJECTIVE_BECAME_NOK"),
        nullable=False,
    ),
    timestamp(
        "occurred_at",
        "When it happened.",
        "timestamp | date | evaluation.evaluationDate | evaluationDate",
        nullable=False,
    ),
    percentage("proficiency", "Proficiency at that moment.", "evaluation.proficiency/overall | proficiency/overall"),
    scopes={"evaluation": "objectiveEvaluation | evaluation"},
)

RESULTS = snapshot(
    "results",
    (
        "How proficient each member was in each drill and course of each group on a day. Proficiency fades "
        "without practice, so this is the time series that Drillster itself does not keep. Practice is of a person: "
        "what several of the person's groups have is in a row for each of them, and once in account_results."
    ),
    EXPORT_DATE,
    key("group_id", "The group.", "{group_id}", references="groups.group_id"),
    key("account_id", "The member.", "{account_id}", references="accounts.account_id"),
    key("playable_id", "The drill or course.", "drillable.id", references="playables.playable_id"),
    percentage("proficiency", "Overall proficiency.", "practice.proficiency/overall"),
    percentage("receptive_proficiency", "Proficiency in recognizing.", "practice.proficiency?.receptive"),
    percentage("productive_proficiency", "Proficiency in producing.", "practice.proficiency?.productive"),
    percentage(
        "highest_proficiency",
        "Highest overall proficiency ever reached; not for courses.",
        "practice.highestProficiency/overall",
    ),
    percentage(
        "eventual_proficiency",
        "Overall proficiency that remains in the long term if practice stops.",
        "practice.eventualProficiency/overall",
    ),
    integer("time_spent_seconds", "Time practiced, in seconds.", "practice.timeSpent"),
    integer("expected_duration_seconds", "Expected time to reach 100 %, in seconds.", "practice.expectedDuration"),
    timestamp("last_practiced_at", "Last practice.", "practice.lastPracticed"),
    timestamp("added_at", "When it was added to the person's repertoire; NULL: a trial.", "practice.added"),
    CAPTURED_AT,
    scopes={"practice": "practice | drillable.practice | @"},
    counts="pagination.total",
)

TEST_RESULTS = event(
    "test_results",
    "Each attempt at a test, under way or finished.",
    key("test_result_id", "Drillster's id of the attempt.", "id"),
    reference("test_id", "The test.", "{test_id}", references="playables.playable_id"),
    reference(
        "group_id",
        "The group that lists it; of several, always the same one.",
        "{group_id}",
        references="groups.group_id",
    ),
    text("account_id", "Who took it.", "test_results: memberTestResults[].user.id", references="accounts.account_id"),
    timestamp("started_at", "When it was started.", "started"),
    timestamp("completed_at", "When it was handed in or timed out; NULL: under way.", "completed"),
    integer("duration_minutes", "Time taken, in minutes.", "duration"),
    integer("question_count", "Number of questions.", "size"),
    integer("correctly_answered", "Questions answered correctly.", "correctlyAnswered"),
    Column(Type.FLOAT, "progress", "How far the attempt is: 0.0 to 1.0.", "progress", minimum=0, maximum=1),
    percentage("score_percentage", "Score.", "score/percentage"),
    boolean(
        "passed",
        "Whether the test was passed, by the first transformation of the score that says so; NULL where none does.",
        f"test_results: {_ATTEMPT}.score.transformations[].passed",
    ),
    inside="testResults[]",
)

TEST_RESULT_SCORES = event(
    "test_result_scores",
    "What the score of an attempt comes to under each transformation (a grade, a pass mark).",
    key("test_result_id", "The attempt.", f"test_results: {_ATTEMPT}.id", references="test_results.test_result_id"),
    key("transformation_id", "Drillster's id of the transformation, such as 'seventy-percent-grade-points'.", "id"),
    text("result", "The outcome, as text.", "result", prose=True),
    boolean("passed", "Whether the outcome is a pass; NULL where the transformation does not say.", "passed"),
    percentage("percentage", "The outcome as a percentage.", "percentage"),
    sources=("test_results",),
    inside="testResults[].score.transformations[]",
)

TEST_RESULT_DRILLS = event(
    "test_result_drills",
    "The score of an attempt for each drill that the test drew on.",
    key("test_result_id", "The attempt.", f"test_results: {_ATTEMPT}.id", references="test_results.test_result_id"),
    key("drill_id", "The drill.", "drill.id", references="playables.playable_id"),
    percentage("score_percentage", "Score on the questions of that drill.", "score/percentage"),
    sources=("test_results",),
    inside="testResults[].drills[]",
)
