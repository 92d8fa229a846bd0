select
    playable_id,
    name,
    type,
    deleted_on is null as is_current,
    first_seen_on,
    last_seen_on,
    deleted_on
from {{ ref('stg_playables') }}
