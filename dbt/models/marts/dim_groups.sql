with members as (
    select
        group_id,
        sum(case when status = 'MEMBER' then 1 else 0 end) as member_count,
        sum(case when status = 'INVITED' then 1 else 0 end) as invitee_count
    from {{ ref('stg_group_members') }}
    where deleted_on is null
    group by group_id
),

staff as (
    select group_staff.group_id, string_agg(accounts.name, ', ' order by accounts.name, accounts.account_id) as managers
    from {{ ref('stg_group_staff') }} as group_staff
    inner join {{ ref('stg_accounts') }} as accounts on accounts.account_id = group_staff.account_id
    where group_staff.deleted_on is null and group_staff.permission = 'MANAGE'
    group by group_staff.group_id
)

select
    groups.group_id,
    groups.name,
    groups.description,
    groups.custom_reference,
    groups.is_sensitive,
    coalesce(members.member_count, 0) as member_count,
    coalesce(members.invitee_count, 0) as invitee_count,
    staff.managers,
    groups.deleted_on is null as is_current,
    groups.created_at,
    groups.first_seen_on,
    groups.last_seen_on,
    groups.deleted_on
from {{ ref('stg_groups') }} as groups
left join members on members.group_id = groups.group_id
left join staff on staff.group_id = groups.group_id
