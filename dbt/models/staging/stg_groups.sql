{{ staged('groups') }}
