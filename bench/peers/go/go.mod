module tournant/peers

go 1.19
