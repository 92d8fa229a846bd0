with keys as (
    select
        account_id,
        string_agg(third_party || ':' || external_id, ', ' order by third_party || ':' || external_id) as external_ids
    from {{ ref('stg_account_external_ids') }}
    where deleted_on is null
    group by account_id
)

select
    accounts.account_id,
    accounts.name,
    accounts.email_address,
    keys.external_ids,
    accounts.status,
    accounts.is_managed,
    accounts.is_admin,
    accounts.deleted_on is null as is_current,
    accounts.created_at,
    accounts.last_login_at,
    accounts.first_seen_on,
    accounts.last_seen_on,
    accounts.deleted_on
from {{ ref('stg_accounts') }} as accounts
left join keys on keys.account_id = accounts.account_id
