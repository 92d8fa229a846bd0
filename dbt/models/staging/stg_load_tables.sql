{{ staged('load_tables') }}
