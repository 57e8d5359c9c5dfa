package stage_test

var pcCases []kase
var streamCases []kase
var extraCases []kase
var faultCases []kase
var subscribeCases []kase
var producerCases []kase
var consumerCases []kase
