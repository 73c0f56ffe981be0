/* Classifies the image of image.h, and compares the class with that of the trained network. */

#include <stdio.h>

#include "image.h"
#include "network.h"

int main(void) {
    const int label = ir2_classify(IMAGE);
    const float *logits = ir2_logits();
    int i;
    for (i = 0; i < IR2_CLASSES; ++i)
        printf("%s: %g\n", ir2_class_names[i], (double)logits[i]);
    printf("class: %s\n", ir2_class_names[label]);
    return label == IMAGE_CLASS ? 0 : 1;
}
