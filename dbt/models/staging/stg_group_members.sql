{{ staged('group_members') }}
