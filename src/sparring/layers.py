"""Names in D's features of what is more than a layer: networks write them, tricks read them."""

CLASS_LOGITS = "class_logits"  # what D takes the condition of each sample for
CLASS_WANTED = "class_logits_wanted"  # where these are numbers, what it should be taken for
DECODED = "decoded"  # begins the names of the images that D decodes from its layers
