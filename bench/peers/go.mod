module github.com/penstock-go/penstock/bench/peers

go 1.26.0

replace github.com/penstock-go/penstock => ../..

require (
	github.com/ThreeDotsLabs/watermill v1.5.1
	github.com/ergo-services/ergo v1.999.224
	github.com/penstock-go/penstock v0.0.0-00010101000000-000000000000
	github.com/reugn/go-streams v0.13.0
	github.com/samber/ro v0.3.0
)

require (
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/lithammer/shortuuid/v3 v3.0.7 // indirect
	github.com/oklog/ulid v1.3.1 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/samber/lo v1.52.0 // indirect
	github.com/sony/gobreaker v1.0.0 // indirect
	golang.org/x/exp v0.0.0-20220303212507-bbda1eaf7a17 // indirect
	golang.org/x/text v0.43.0 // indirect
)
