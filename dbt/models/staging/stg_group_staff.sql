{{ staged('group_staff') }}
