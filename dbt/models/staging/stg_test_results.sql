{{ staged('test_results') }}
