package stage_test

var streamCases []kase
var extraCases []kase
var faultCases []kase
